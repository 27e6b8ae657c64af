"""JavaScript modules as one script."""

import pytest

from nmjax.html import COMPONENTS
from nmjax.html.modules import bundle_modules


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.js").write_text(text)
    return folder / "main.js"


def test_each_module_is_there_once_and_after_what_it_imports(tmp_path):
    entry = write(
        tmp_path,
        main='import { one, two } from "./a.js";\nimport "./b.js";\nconsole.log(one, two());\n',
        a='import { base } from "./b.js";\nexport const one = base + 1;\nexport function two() { return 2; }\n',
        b="export const base = 0;\n",
    )
    script = bundle_modules(entry)
    assert script.count('modules["b.js"] =') == script.count('modules["a.js"] =') == 1
    assert script.index('modules["b.js"] =') < script.index('modules["a.js"] =') < script.index('modules["main.js"] =')
    assert 'const { one, two } = modules["a.js"];' in script and "return { one, two };" in script
    assert "import " not in script and "export " not in script


def test_a_name_of_several_lines_and_a_folder_above(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "shared.js").write_text("export class Shape {}\nexport async function draw() {}\n")
    entry = tmp_path / "page" / "main.js"
    entry.write_text('import {\n  Shape,\n  draw,\n} from "../shared.js";\nnew Shape(draw);\n')
    script = bundle_modules(entry)
    assert 'const { Shape, draw, } = modules["shared.js"];' in script and "return { Shape, draw };" in script


@pytest.mark.parametrize("text", ["export default 1;", 'import * as all from "./a.js";', 'import x from "./a.js";'])
def test_other_forms_are_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"main\.js has a statement"):
        bundle_modules(write(tmp_path, main=f"{text}\n", a="\n"))


def test_circles_are_refused(tmp_path):
    with pytest.raises(ValueError, match="imports itself"):
        bundle_modules(write(tmp_path, main='import "./a.js";\n', a='import "./main.js";\n'))


def test_all_components_can_be_embedded():
    for path in sorted(COMPONENTS.glob("*.js")):
        script = bundle_modules(path)
        assert f'modules["{path.name}"]' in script and "</script" not in script
