"""Monte Carlo tree search on a small game: nodes with parents, UCT, recursion, and a game played against a random player."""
# depth: 2
# unit: 0.005
# %% setup
import math
import random

random.seed(31)


class Nim:
    """Take 1 to 3; who takes the last wins."""

    def __init__(self, left=11, player=1):
        self.left, self.player = left, player

    def moves(self):
        return list(range(1, min(3, self.left) + 1))

    def play(self, n):
        return Nim(self.left - n, -self.player)


class Node:
    def __init__(self, game, parent=None, move=None):
        self.game, self.parent, self.move = game, parent, move
        self.children, self.wins, self.visits = [], 0.0, 0
        self.untried = game.moves()

    def uct(self):
        return max(self.children, key=lambda c: c.wins / c.visits + 1.4 * math.sqrt(math.log(self.visits) / c.visits))

    def expand(self):
        move = self.untried.pop(random.randrange(len(self.untried)))
        child = Node(self.game.play(move), self, move)
        self.children.append(child)
        return child
# %% cell
def rollout(game):
    while game.left:
        game = game.play(random.choice(game.moves()))
    return -game.player


def search(game, simulations):
    root = Node(game)
    for _ in range(simulations):
        node = root
        while not node.untried and node.children:
            node = node.uct()
        if node.untried:
            node = node.expand()
        winner = rollout(node.game)
        while node is not None:
            node.visits += 1
            node.wins += winner == -node.game.player
            node = node.parent
        tick()
    return max(root.children, key=lambda c: c.visits).move, root


results, trees = [], []
for number in range(3):
    game = Nim(player=1 if number % 2 else -1)
    while game.left:
        if game.player == 1:
            move, root = search(game, 20)
            trees.append(root)
        else:
            move = random.choice(game.moves())
        game = game.play(move)
    results.append(-game.player)
results, [t.visits for t in trees][:4]
