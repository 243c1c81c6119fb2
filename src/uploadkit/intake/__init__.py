"""Events and policy to storage: one plan that decides, two drivers that act."""
