# Where two logs part is found in one step a term, not one an entry (5.3, end).
members a b
log a 1 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 6
log b 1 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3
term b 5
send a timeout-now from b term 6
run
tick a 2
run
expect sent append a>b 4
expect b log 1 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 6 7
