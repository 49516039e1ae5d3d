"""How the notebooks run unattended: plan, execute, record, render. This part drives notebooks and computes nothing."""
