"""The command `petseg doctor`: checks machine and project, and mends what a killed `dvc` has left behind."""
