"""What the directives mean: values and pure functions over them, without I/O."""
