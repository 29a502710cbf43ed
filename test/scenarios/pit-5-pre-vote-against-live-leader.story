# Pit 5: who hears a leader does not vote against it.
members a b c
elect a
run
tick a 2
run
send b pre-vote-request from c term 3 last 9 of 9
send b vote-request from c term 3 last 9 of 9
run
expect sent vote-response b>c 0
expect b term 2
