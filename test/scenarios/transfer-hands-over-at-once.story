# Leadership is handed over without waiting for a timeout (3.10).
members a b c
elect a
run
transfer a b
propose a late refused transferring
run
expect b leader
expect a follows b
