# Pit 3: an acknowledgement of an earlier term counts for nobody who has moved on.
members a b c
elect a
run
cut c
hold b
propose a x
run
send a heartbeat from c term 9 round 1
flush b
run
expect a applied
expect a follows c
