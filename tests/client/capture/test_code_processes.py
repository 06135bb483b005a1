"""The same digest wherever and however the same code runs."""

import subprocess
import sys
import textwrap
import zipfile

import pytest

from headwater.client.capture.code import code_digest

STEPS = """
    import functools
    from dataclasses import dataclass
    import helpers

    TABLE = {"a": {"x", "y", "z"}, "b": [helpers.one, helpers.Two], helpers.one: frozenset({1, "2", None})}

    @dataclass
    class Settings:
        rate: float = 0.5

        def scaled(self):
            return helpers.one(self.rate)

    SETTINGS = Settings()

    def train(x, kinds=frozenset(["u", "v", "w"])):
        if x in {"p", "q", "r"}:
            return TABLE, SETTINGS.scaled(), functools.reduce(max, kinds)
"""
HELPERS = """
    def one(x):
        return x in {"k", "l", "m"}

    class Two:
        names = {"n", "o"}
"""
PRINTING = "from headwater.client.capture.code import code_digest; print(code_digest({}.train).digest)"
FILES = {"steps.py": STEPS, "helpers.py": HELPERS}


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_the_hash_seed_and_the_checkout_do_not_count(project, python, seed):
    here = project.digest(FILES)
    elsewhere = project.write(FILES)

    assert python(f"import steps; {PRINTING.format('steps')}", cwd=elsewhere, PYTHONHASHSEED=seed) == here


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_the_hash_seed_does_not_count_where_a_pickle_does(project, python, seed):
    files = {
        "steps.py": """
            import operator
            import helpers
            import pandas as pd

            class Marked:
                def __init__(self):
                    self.names = {"k", "l", "m"}

            def made(call, table):
                return lambda x: (call(x), table)

            table = pd.DataFrame({"a": ["x", None], "b": [{"p", "q", "r"}, helpers.Two]})
            table.attrs = {"marked": Marked(), "one": helpers.one}
            train = made(operator.methodcaller("take", {"u", "v", "w"}), table)
            """,
        "helpers.py": HELPERS,
    }
    here = project.code(files)
    elsewhere = project.write(files)

    assert here.doubts == ()
    assert (
        python(f"import steps; {PRINTING.format('steps')}", cwd=elsewhere, PYTHONHASHSEED=seed) == here.digest
    )


def run(script, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, *arguments, script], cwd=cwd, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip().splitlines()


def test_a_script_and_an_imported_module_agree(project):
    here = project.digest(FILES)
    text = textwrap.dedent(STEPS) + textwrap.dedent("""
        if __name__ == "__main__":
            import sys
            from headwater.client.capture.code import code_digest
            print(code_digest(train).digest)
        """)
    root = project.write({"steps.py": text, "helpers.py": HELPERS})

    assert run("steps.py", cwd=root) == [here]
    assert run("steps", "-m", cwd=root) == [here]


def test_a_spawned_process_and_its_parent_agree(project):
    text = textwrap.dedent(STEPS) + textwrap.dedent("""
        from headwater.client.capture.code import code_digest

        def show():
            print(code_digest(train).digest, code_digest(Settings().scaled).digest, flush=True)

        if __name__ == "__main__":
            import multiprocessing
            show()
            for method in multiprocessing.get_all_start_methods():
                process = multiprocessing.get_context(method).Process(target=show)
                process.start()
                process.join(60)
        """)
    shown = run("steps.py", cwd=project.write({"steps.py": text, "helpers.py": HELPERS}))

    assert len(shown) >= 2
    assert len(set(shown)) == 1


def test_edits_of_functions_of_a_script_are_told_apart(project):
    text = textwrap.dedent("""
        RATE = {rate}
        class Helper:
            def go(self, x):
                return x {sign} RATE
        def train(x):
            return Helper().go(x)
        def unrelated():
            return {other}
        from headwater.client.capture.code import code_digest
        print(code_digest(train).digest)
        """)

    def digest(**values):
        values = {"rate": 1, "sign": "+", "other": 1, **values}
        return run("main.py", cwd=project.write({"main.py": text.format(**values)}))[0]

    assert digest() == digest(other=2)
    assert len({digest(), digest(rate=2), digest(sign="-")}) == 3


def test_modules_in_a_zip_file_are_read(project, tmp_path, python):
    here = project.digest(FILES)
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, textwrap.dedent(text))

    program = f"import sys; sys.path.insert(0, 'code.zip'); import steps; {PRINTING.format('steps')}"

    assert python(program) == here


def test_cells_of_a_notebook_are_read():
    interactive = pytest.importorskip("IPython.core.interactiveshell")
    shell = interactive.InteractiveShell()

    def digest(*cells):
        shell.reset(new_session=True)
        for cell in cells:
            shell.run_cell(textwrap.dedent(cell), store_history=True).raise_error()
        return code_digest(shell.user_ns["train"])

    helper = "RATE = {}\ndef helper(x):\n    return x {} RATE"
    train = "# A cell.\ndef train(x):\n    return helper(x)  # %s"
    first = digest(helper.format(1, "+"), train)

    assert first.source == "def train(x):\n    return helper(x)  # %s"
    assert digest(helper.format(1, "+"), "x = 1", train.replace("A cell", "The cell")).digest == first.digest
    assert digest(helper.format(2, "+"), train).digest != first.digest
    assert digest(helper.format(1, "-"), train).digest != first.digest


def test_a_project_that_was_installed_from_a_directory_is_followed(project, python):
    package = {
        "churn/__init__.py": "",
        "churn/steps.py": "from churn.helpers import clean\ndef train(x):\n    return clean(x)\n",
        "churn/helpers.py": "def clean(x):\n    return x + {value}\n",
        "churn-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: churn\nVersion: 1.0\n",
        "churn-1.0.dist-info/top_level.txt": "churn\n",
    }
    mark = {"churn-1.0.dist-info/direct_url.json": '{"url": "file:///src/churn", "dir_info": {}}'}

    def digest(files, value):
        root = project.write(
            {f"site-packages/{name}": text.replace("{value}", value) for name, text in files.items()}
        )
        program = f"""
            import sys; sys.path.insert(0, "site-packages")
            import churn.steps; {PRINTING.format("churn.steps")}
        """
        return python(program, cwd=root)

    assert digest({**package, **mark}, "1") != digest({**package, **mark}, "2")
    # From an index the version says it.
    assert digest(package, "1") == digest(package, "2")
    newer = {name.replace("1.0", "1.1"): text.replace("1.0", "1.1") for name, text in package.items()}
    assert digest(newer, "1") != digest(package, "1")


def test_digests_at_the_same_time_agree(project):
    module = project.load(FILES)
    program = """
        import threading, steps
        from headwater.client.capture.code import code_digest
        found = []
        threads = [threading.Thread(target=lambda: found.append(code_digest(steps.train))) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(found) == 8 and len(set(found)) == 1, found
    """
    namespace = {"steps": module}
    sys.modules["steps"] = module

    exec(textwrap.dedent(program), namespace)
