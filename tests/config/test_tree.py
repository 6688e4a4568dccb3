"""Sections, inclusion, definitions and conditions: what is decided while files are read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.config.problems import Problems
from scgiproxy.config.tree import MAX_NESTING, Node, TreeReader
from tests.config.loading import write


def _reader(
    root: Path = Path("/"),
    *,
    defines: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> TreeReader:
    return TreeReader(
        Problems(),
        defines=defines or {},
        environment=environment or {},
        server_root=root,
        known=lambda name: name.lower() == "timeout",
    )


def _problems(reader: TreeReader) -> list[str]:
    return [f"{each.line}: {each.message}" for each in reader.problems.found()]


def _shape(nodes: list[Node] | tuple[Node, ...]) -> list[object]:
    return [
        f"{node.name} {node.arguments}".strip()
        if node.children is None
        else (f"<{node.name} {node.arguments}>", _shape(node.children))
        for node in nodes
    ]


def _read(text: str, **options: Mapping[str, str]) -> tuple[list[object], list[str]]:
    reader = _reader(**options)  # type: ignore[arg-type]
    return _shape(reader.read_text(text, "f")), _problems(reader)


def test_sections_nest() -> None:
    """Names close without regard to case."""
    text = 'A 1\n<B "x > y">\nC\n<D>\n</d>\n</B>\nE'
    assert _read(text) == (["A 1", ('<B "x > y">', ["C", ("<D >", [])]), "E"], [])


def test_positions() -> None:
    """A section has its opener's line, a directive its last physical one."""
    (section,) = _reader().read_text("\n<A>\nB \\\n1\n</A>", "f")
    assert section.position.line == 2
    assert section.children is not None
    assert str(section.children[0].position) == "f:4"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("<A>\nB", ["1: <A> was not closed; expected </A> before the end of the file"]),
        ("</A>", ["1: </A> without matching <A>"]),
        ("<A>\n</B>\n</A>", ["2: </B> without matching <B>; expected </A>, opened at line 1"]),
        ("<A>\n<B>\n</A>", ["2: <B> was not closed; expected </B> before </A> at line 3"]),
        ("<A\n</A>", ["1: <A> is missing its closing '>'"]),
        ("<A>\n</A", ["2: </A is missing its closing '>'"]),
        ("<A>\n</A >", ["2: </A is missing its closing '>'"]),
        ("< A>\n</A>", ["1: expected the name of a section directly after '<'"]),
        ("<>", ["1: expected the name of a section directly after '<'"]),
        ("<A> # x\n</A>", ["1: <A>: '# x' after the closing '>' is ignored"]),
        ("<A>\n</A> # x", ["2: text after </A> is ignored"]),
        (
            "<A>\n<B>\n<C>\n",
            [
                f"{line}: <{name}> was not closed; expected </{name}> before the end of the file"
                for line, name in zip((1, 2, 3), "ABC", strict=True)
            ],
        ),
    ],
)
def test_broken_sections(text: str, problems: list[str]) -> None:
    """Each is told once, and what follows is still read."""
    nodes, found = _read(f"{text}\nZ 1")
    assert found == problems
    assert "Z 1" in str(nodes)


def test_virtual_hosts_do_not_nest() -> None:
    """One in another shows that the end of that is missing, and of what is open in it."""
    text = "<VirtualHost a>\nA\n<B>\n<VirtualHost c>\nC\n</VirtualHost>\nD"
    nodes, problems = _read(text)
    assert nodes == [("<VirtualHost a>", ["A", ("<B >", [])]), ("<VirtualHost c>", ["C"]), "D"]
    assert problems == [
        "1: <VirtualHost> was not closed; expected </VirtualHost> before <VirtualHost> at line 4",
        "3: <B> was not closed; expected </B> before <VirtualHost> at line 4",
    ]


def test_a_condition_without_an_end() -> None:
    """What is skipped with it is no news."""
    reader = _reader()
    reader.read_text("<IfDefine X>\n<VirtualHost>\n<VirtualHost>\nListen 80", "f")
    problems = _problems(reader)
    expected = "</IfDefine> before the end of the file; all of it was skipped"
    assert problems[0] == f"1: <IfDefine> was not closed; expected {expected}"
    assert len(problems) == 3
    assert reader.skipped_an_end


def test_nesting_is_bounded() -> None:
    depth = MAX_NESTING + 30
    _, problems = _read("<A>\n" * depth + "</A>\n" * depth)
    assert problems == [f"{MAX_NESTING + 1}: over {MAX_NESTING} sections in each other"]


def test_define() -> None:
    """From its line on, for anything on a line; -D before the environment."""
    text = """
A ${X} ${P}
Define X "1 2"
A ${X}
Define Y
A "${Y}"
UnDefine X
${D} "${X}"
"""
    nodes, problems = _read(text, defines={"P": "p", "D": "d"}, environment={"P": "no", "X": "env"})
    assert nodes == ["A env p", "A 1 2", 'A ""', 'd "env"']
    assert problems == []


def test_undefined_variable() -> None:
    """It stays as it is, with a warning, unless a colon shows that it is another language's."""
    nodes, problems = _read("A ${X} ${X:y}")
    assert nodes == ["A ${X} ${X:y}"]
    assert problems == [
        "1: ${X} is not defined (by Define, -D or the environment); it stays as written"
    ]


@pytest.mark.parametrize(
    "line", ["Define", "Define A:B", "Define A b c", "UnDefine", "UnDefine A b"]
)
def test_wrong_definitions(line: str) -> None:
    (problem,) = _read(line)[1]
    assert problem.startswith(f"1: {line.split()[0]}: expected NAME")


def test_conditions() -> None:
    """What does not hold is skipped, unread but for its sections."""
    text = """
<IfModule mod_proxy_scgi.c>
A
<IfModule !proxy_scgi_module>
No ${nowhere}
<Location>
</Location>
Include /nowhere
</IfModule>
</IfModule>
<IfDefine X>
B
</IfDefine>
<IfDefine !Y>
C
</IfDefine>
<IfVersion >= 2.4>
D
</IfVersion>
<IfFile "/dev/null">
E
</IfFile>
<IfDirective TimeOut>
F
</IfDirective>
<IfDirective RewriteRule>
No
</IfDirective>
"""
    assert _read(text, defines={"X": ""}) == (["A", "B", "C", "D", "E", "F"], [])


def test_what_cannot_be_looked_at_is_not_there() -> None:
    """As in Apache: a name that is too long, as in a folder that may not be entered."""
    text = f"<IfFile {'x' * 300}>\nA\n</IfFile>\n<IfFile !{'x' * 300}>\nB\n</IfFile>\n"
    assert _read(text) == (["B"], [])


def test_other_modules_are_skipped_with_a_note() -> None:
    """Once for each, and not for what is only there in their absence."""
    text = "<IfModule mod_ssl.c>\nA\n</IfModule>\n" * 2 + "<IfModule !mod_ssl.c>\nB\n</IfModule>"
    assert _read(text) == (
        ["B"],
        ["1: <IfModule mod_ssl.c>: that module's work is not done here; skipped"],
    )


def test_skipped_content_must_be_balanced() -> None:
    assert _read("<IfDefine X>\n<A>\n</IfDefine>\nB") == (
        ["B"],
        ["2: <A> was not closed; expected </A> before </IfDefine> at line 3"],
    )


def test_wrong_condition() -> None:
    nodes, problems = _read("<IfDefine>\nA\n</IfDefine>\nB")
    assert nodes == ["B"]
    assert problems == [
        "1: <IfDefine>: expected a name given to Define or -D, with ! before it for the opposite"
    ]


def test_error_directive() -> None:
    assert _read('Error "not so"')[1] == ["1: Error: not so"]


def test_include(tmp_path: Path) -> None:
    """A file, a pattern, a folder with all below it; in order of names, relative to ServerRoot."""
    write(tmp_path, "conf/b.conf", "B")
    write(tmp_path, "conf/a.conf", "A")
    write(tmp_path, "conf/.hidden.conf", "No")
    write(tmp_path, "all/z", "Z")
    write(tmp_path, "all/deep/y", "Y")
    main = write(
        tmp_path,
        "main.conf",
        f"""
        ServerRoot {tmp_path}
        Include conf/*.conf
        <S>
        Include c?nf/b.conf
        </S>
        Include all
        IncludeOptional nothing/*
        IncludeOptional nothing
        """,
    )
    reader = _reader()
    assert _shape(reader.read_file(main)) == ["A", "B", ("<S >", ["B"]), "Y", "Z"]
    assert _problems(reader) == []


def test_a_file_closes_its_own_sections(tmp_path: Path) -> None:
    write(tmp_path, "a.conf", "<A>\nB")
    reader = _reader(tmp_path)
    reader.read_text("Include a.conf\nC", "f")
    assert [str(each) for each in reader.problems.found()] == [
        f"{tmp_path}/a.conf:1: <A> was not closed; expected </A> before the end of the file"
    ]


def test_an_inclusion_that_never_ends(tmp_path: Path) -> None:
    """Told as one error at the line that closes the circle."""
    write(tmp_path, "a.conf", "Include b.conf\nA")
    write(tmp_path, "b.conf", "Include a.conf\nB")
    reader = _reader(tmp_path)
    nodes = reader.read_file(tmp_path / "a.conf")
    assert _shape(nodes) == ["B", "A"]
    (problem,) = reader.problems.found()
    assert str(problem).startswith(f"{tmp_path}/b.conf:1: {tmp_path}/a.conf includes itself: ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Include nothing.conf", "Include: no file is there: {}/nothing.conf"),
        ("Include nothing*.conf", "Include: no file is there: {}/nothing*.conf"),
        ("Include a b", "Include: expected one path or pattern; 2 given"),
        ("Include /dev/zero", "cannot read /dev/zero: it is not a regular file"),
        ("Include pipe", "cannot read {}/pipe: it is not a regular file"),
        ("ServerRoot nothing", "ServerRoot: {}/nothing is not a directory"),
        ("ServerRoot", "ServerRoot: expected one directory; 0 given"),
    ],
)
def test_wrong_inclusions(tmp_path: Path, line: str, message: str) -> None:
    """A pipe or a device, which might never end, is not read."""
    os.mkfifo(tmp_path / "pipe")
    reader = _reader(tmp_path)
    reader.read_text(line, "f")
    assert _problems(reader) == ["1: " + message.format(tmp_path)]


def test_a_folder_with_links_to_itself(tmp_path: Path) -> None:
    """Each file is read once, not once for every way around."""
    folder = tmp_path / "d"
    folder.mkdir()
    write(folder, "a.conf", "A")
    for name in ("one", "two"):
        (folder / name).symlink_to("../d")
    reader = _reader(tmp_path)
    assert _shape(reader.read_text("Include d", "f")) == ["A"]
    assert _problems(reader) == []


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    reader = _reader(tmp_path)
    reader.read_text(f"IncludeOptional {'x' * 5000}", "f")
    (problem,) = _problems(reader)
    assert problem.startswith("1: IncludeOptional: File name too long")


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    """A path or a value may be in any encoding."""
    (tmp_path / "a.conf").write_bytes(b"A \xff\n")
    (node,) = _reader().read_file(tmp_path / "a.conf")
    assert node.arguments.encode("utf-8", "surrogateescape") == b"\xff"


_PIECES = st.sampled_from(
    [
        "<A>",
        "</A>",
        "<B x>",
        "</B>",
        "<",
        ">",
        "</",
        "<IfModule core.c>",
        "</IfModule>",
        "\n",
        "\n",
        "\\\n",
        '"',
        "'",
        "${X}",
        "${",
        "Define X ",
        "UnDefine X",
        "Include /nowhere",
        "a",
        " ",
        "#",
        "<IfVersion ",
        "<IfDefine X>",
        "</IfDefine>",
        "Error ",
        "\x00",
        "\r",
        "é",
    ]
)


@given(st.one_of(st.text(), st.lists(_PIECES).map("".join)))
def test_any_text_gives_a_tree(text: str) -> None:
    """Whatever is wrong is a problem with a line of the text; nothing is raised."""
    reader = _reader()
    reader.read_text(text, "f")
    lines = text.count("\n") + 1
    assert all(1 <= each.line <= lines and each.message for each in reader.problems.found())
