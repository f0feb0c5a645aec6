"""What ends idle kernels and servers, started for real: jupyter_server's culling, and JupyterHub's."""
