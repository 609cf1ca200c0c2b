"""What runs plans: one module for each kind of device."""
