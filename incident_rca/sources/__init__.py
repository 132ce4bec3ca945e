"""The network to raw/: one file a service. The only room that talks to other machines."""
