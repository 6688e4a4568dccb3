"""The built-in lbmethods, a module for each family. `pool.balance` has them by name."""
