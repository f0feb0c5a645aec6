"""`for/else` and `while/else`, with `break` and `continue` on different ways."""
# %% setup
import random

random.seed(171)
# %% cell
primes, composites, tries = [], {}, 0
for number in range(2, 45):
    for divisor in range(2, number):
        if divisor * divisor > number:
            continue
        tick()
        if number % divisor == 0:
            composites[number] = divisor
            break
    else:
        primes.append(number)
        tick()
rounds = 0
while rounds < 40:
    rounds += 1
    tries += 1
    tick()
    if random.random() < 0.01:
        broke = True
        break
    if rounds % 3:
        continue
    tries += 10
else:
    broke = False
(primes, tries, broke)
