"""Everything that is looked at: plots of matplotlib, and widgets that move on the page as in JupyterLab."""
