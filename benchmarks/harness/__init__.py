"""What all scripts share: who is measured, in which environment, with what load; no figures and no judgements."""
