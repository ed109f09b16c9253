// The door to a C library; filled by the module that needs it.
