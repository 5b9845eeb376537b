import itertools

from invlightning.data.seeding import batch_seed, mix_seed


def test_seeds_of_different_places_differ():
    grid = itertools.product(range(-1, 4), range(5), range(30), range(4), range(2))
    seeds = [batch_seed(*place) for place in grid]
    assert len(set(seeds)) == len(seeds) == 6000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len({mix_seed(), mix_seed(0), mix_seed(0, 0), mix_seed(1), mix_seed(0, 1)}) == 5


def test_neighboring_seeds_share_half_their_bits():
    flips = [(batch_seed(1, 0, i, 0) ^ batch_seed(1, 0, i + 1, 0)).bit_count() for i in range(500)]
    assert 30 < sum(flips) / len(flips) < 33
