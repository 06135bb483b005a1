"""Report orders in several currencies as euros. A rate that is missing makes it fail; then it can be resumed.

python orders.py --run monday           # a new run
python orders.py --resume monday        # goes on with it
python orders.py --add-rate CHF=1.04    # mends the rates
"""

import argparse
import csv
import json
import os
from pathlib import Path

import headwater
from headwater.client import File, Run, Store

# HEADWATER_TARGET is where `headwater run resume` says that the store is.
TARGET = os.environ.get("HEADWATER_TARGET", "sqlite:///orders.db")
FILES = Path("orders-files")
ORDERS = [("mug", 12, "EUR"), ("poster", 30, "CHF"), ("lamp", 240, "NOK"), ("mug", 8, "EUR")]
STOCK = [("mug", 51), ("poster", 7), ("lamp", 3)]
# What the run is going to do, so that a step that never began is known to be missing.
STEPS = {"stock": [], "collect": [], "convert": ["collect"], "report": ["convert", "stock"]}


def pipeline(run: Run) -> None:
    @run.step(outputs={"orders": "Dataset"})
    def collect():
        return written("orders.csv", ORDERS)

    @run.step(outputs={"stock": "Dataset"})
    def stock():
        return written("stock.csv", STOCK)

    @run.step(outputs={"euros": "Dataset"})
    def convert(orders, rates):
        to_euros = json.loads(rates.path.read_text())
        rows = []
        for item, price, currency in read(orders):
            if currency not in to_euros:
                raise ValueError(f"there is no rate for {currency}")
            rows.append((item, round(float(price) * to_euros[currency], 2)))
        return written("euros.csv", rows)

    @run.step(outputs={"report": "Report"})
    def report(euros, stock):
        left = dict(read(stock))
        return written("report.csv", [(item, price, left[item]) for item, price in read(euros)])

    counted = stock()
    print_table(report(convert(collect(), File(FILES / "rates.json")), counted))


def written(name, rows):
    path = FILES / name
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def read(path):
    with Path(path).open(newline="") as file:
        return list(csv.reader(file))


def print_table(path):
    for item, price, left in read(path):
        print(f"  {item:<8} {float(price):>7.2f} EUR   {left} left")


def add_rate(text: str) -> None:
    currency, rate = text.split("=")
    path = FILES / "rates.json"
    rates = {**json.loads(path.read_text()), currency: float(rate)}
    path.write_text(json.dumps(rates))


def print_steps(client: Store, run: Run) -> None:
    print(f"run {run.pipeline}/{run.name}:")
    for step in client.steps(run.run_id):
        print(f"  {step.step:<8} attempt {step.attempt}  {step.state:<8}  {step.why}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", default="monday", help="the name of a new run")
    parser.add_argument("--resume", metavar="RUN", help="the name of the run to go on with")
    parser.add_argument("--add-rate", metavar="CURRENCY=RATE", help="add a rate, and run nothing")
    arguments = parser.parse_args()

    FILES.mkdir(exist_ok=True)
    if not (FILES / "rates.json").exists():
        (FILES / "rates.json").write_text(json.dumps({"EUR": 1.0}))
    if arguments.add_rate:
        add_rate(arguments.add_rate)
        return
    with headwater.connect(TARGET) as client:
        if arguments.resume:
            run = client.resume("orders", run=arguments.resume, steps=STEPS)
        else:
            run = client.run("orders", name=arguments.run, steps=STEPS)
        with run:
            try:
                pipeline(run)
            finally:
                print_steps(client, run)


if __name__ == "__main__":
    main()
