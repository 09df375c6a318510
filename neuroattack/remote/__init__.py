"""Black boxes over HTTP, by the Open Inference Protocol v2: serving one, and attacking one."""
