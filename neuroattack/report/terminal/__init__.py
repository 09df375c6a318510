"""Tables, progress and messages in the terminal."""
