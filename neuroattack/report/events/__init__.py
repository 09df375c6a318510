"""Pictures of event samples: frames, space-time plots and animations."""
