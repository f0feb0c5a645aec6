"""Recursion with a memo dict: the number of ways through a grid, with a loop in each call."""
# depth: 3
# %% setup
memo = {}
calls = [0]


def ways(row, column):
    if (row, column) in memo:
        return memo[row, column]
    calls[0] += 1
    if row == 0 or column == 0:
        result = 1
    else:
        result = 0
        for step_row, step_column in ((1, 0), (0, 1), (1, 1)):
            result += ways(row - step_row, column - step_column)
            tick()
    memo[row, column] = result
    return result
# %% cell
answer = ways(7, 7)
(answer, calls)
