from pbg_env import Preference


def test_labels_are_weights_on_first_and_second() -> None:
    assert [answer.label for answer in Preference] == [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.0, 0.0)]
    assert [int(answer) for answer in Preference] == [0, 1, 2, 3]
