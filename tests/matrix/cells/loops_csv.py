"""CSV read by rows and written by rows, through the csv module, with a file open across the loop."""
# %% setup
import csv
import random

random.seed(361)
with open("people.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["name", "age"])
    for number in range(70):
        writer.writerow([f"p, {number}", random.randrange(90)])
# %% cell
ages = []
file = open("results.csv", "w", newline="")
writer = csv.writer(file)
with open("people.csv", newline="") as source:
    rows = list(csv.DictReader(source))
for row in rows:
    ages.append(int(row["age"]))
    writer.writerow([row["name"], sum(ages) / len(ages), random.random()])
    tick()
with open("log.csv", "a", newline="") as log:
    more = csv.DictWriter(log, ["step", "age"])
    more.writeheader()
    for step, age in enumerate(ages):
        more.writerow({"step": step, "age": age})
        tick()
file.close()
(sum(ages), file.closed)
