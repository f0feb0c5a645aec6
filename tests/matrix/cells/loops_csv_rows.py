"""Rows of `csv.reader` and `csv.DictReader` as the heads of loops, with the file open below them."""
# %% setup
import csv
import random

random.seed(451)
with open("people.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["name", "age"])
    for number in range(70):
        writer.writerow([f"p, {number}\nof two lines" if number % 9 == 0 else f"p{number}", random.randrange(90)])
# %% cell
ages, names = [], []
with open("people.csv", newline="") as source:
    reader = csv.reader(source)
    header = next(reader)
    for name, age in reader:
        names.append((reader.line_num, name, random.random()))
        tick()
    lines = reader.line_num
with open("people.csv", newline="") as source:
    for row in csv.DictReader(source):
        ages.append(int(row["age"]) + random.random())
        tick()
del source, reader
(header, lines, sum(ages), names[-1])
