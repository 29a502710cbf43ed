# No more is under way to a member than the window holds.
members a b c
limit inflightMessagesMax 2
limit appendBytesMax 10
elect a
run
tick a 2
run
expect sent append a>a 0
cut b>a
propose a 1 2 3 4 5
round
expect sent append a>b 2
