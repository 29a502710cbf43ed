# A vote outlives a crash (5.2: one vote a term).
members a b c
send a vote-request from b term 5 last 9 of 9 transfer
run
crash a
restart a
send a vote-request from c term 5 last 9 of 9 transfer
run
expect a term 5
expect sent vote-response a>b 1
