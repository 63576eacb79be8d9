"""The code of a template, in which everything that may take long takes steps of a budget.

Loops and calls take steps, and so does what makes texts and lists: sums, products, slices, filters,
methods and captures. So do comparisons of lists and what writes them, because a list may be in
itself many times. What is left takes time in proportion to the template's own source.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, optimizeconst

NODES_OF_STEP: Final = 16
CHARS_OF_STEP: Final = 256
"""Of constants; and so long is a sum that takes no steps of its own."""
MOST_TERMS: Final = 16

_MAKING_NODES: Final = (
    nodes.Add, nodes.AssignBlock, nodes.Call, nodes.Concat, nodes.Dict, nodes.Filter,
    nodes.FilterBlock, nodes.List, nodes.Slice, nodes.Tuple,
)  # fmt: skip
_SCALAR_NODES: Final = (
    nodes.Compare, nodes.Concat, nodes.Const, nodes.Div, nodes.FloorDiv, nodes.Neg, nodes.Not,
    nodes.Pos, nodes.Pow, nodes.Sub, nodes.Test, nodes.TemplateData,
)  # fmt: skip
_PASSING: Final = {
    "flat": "(t_v := %).__class__ is str",
    "hashed": "(t_v := %).__class__ in environment.scalars",
}
"""The tests which nearly every value passes that is compared, or that is a key."""

SHOWN: Final = ").__class__ is str else environment.shown(t_v))"
_TEXT_FILTERS: Final = frozenset(
    {
        "capitalize",
        "indent",
        "join",
        "lower",
        "replace",
        "string",
        "title",
        "tojson",
        "trim",
        "upper",
    }
)


# ruff: noqa: N802 - Jinja calls methods by the names of its nodes


class BoundedCode(CodeGenerator):
    """Writes the code of a template, which takes steps.

    What is short takes none of its own: its steps are those of the loop or the macro around it.
    """

    environment: Any  # a `BoundedEnvironment`, which is made of this class
    _behind = ""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        if any(node.find_all((nodes.EvalContextModifier, nodes.ScopedEvalContextModifier))):
            self.fail("a chat template is not HTML", node.lineno)
        weights = _weights(node)
        called = node.find_all((nodes.Macro, nodes.CallBlock, nodes.Block, nodes.For))
        self.environment.weight = max((weights[one] for one in called), default=1)
        for loop in list(node.find_all(nodes.For)):
            loop.body.insert(0, nodes.ExprStmt(_call("step", nodes.Const(weights[loop]))))
            if loop.test is not None:
                loop.iter = _call("turns", loop.iter, nodes.Const(weights[loop]))
        for compare in list(node.find_all(nodes.Compare)):
            _guard_comparison(compare)
        for pair in list(node.find_all(nodes.Pair)):
            pair.key = _guarded("hashed", pair.key)
        for item in list(node.find_all(nodes.Getitem)):
            if not isinstance(item.arg, nodes.Slice):
                item.arg = _guarded("hashed", item.arg)
        super().visit_Template(node, frame)

    def visit_Assign(self, node: nodes.Assign, frame: Frame) -> None:
        self.push_assign_tracking()
        for name in dict.fromkeys(one.name for one in node.find_all(nodes.NSRef)):
            self.writeline(f"environment.check_target({frame.symbols.ref(name)})")
        self.newline(node)
        self.visit(node.target, frame)
        self.write(" = ")
        self.visit(node.node, frame)
        self.pop_assign_tracking(frame)

    def visit_ExprStmt(self, node: nodes.ExprStmt, frame: Frame) -> None:
        if isinstance(node.node, nodes.Call) and _name_of(node.node) == "step":
            weight = node.node.args[0].as_const()
            self.writeline(f"context.budget.left -= {weight}")
            self.writeline("if context.budget.left < 0: context.budget.refill()")
        else:
            super().visit_ExprStmt(node, frame)

    def visit_Call(
        self,
        node: nodes.Call,
        frame: Frame,
        forward_caller: bool = False,  # noqa: FBT001, FBT002 - as in Jinja
    ) -> None:
        name = _name_of(node)
        if name is None:
            super().visit_Call(node, frame, forward_caller=forward_caller)
        elif name in _PASSING:
            self._write_checked(_PASSING[name], node.args[0], frame, "flat")
        else:
            self._write_call(name, node.args, frame)

    @optimizeconst
    def visit_Add(self, node: nodes.BinExpr, frame: Frame) -> None:
        terms = _terms(node)
        constants = [term.value for term in terms if isinstance(term, nodes.Const)]
        if len(terms) > MOST_TERMS or not constants:
            self._write_call("added", terms, frame)
        elif isinstance(constants[0], str):
            self._write_checked("len(t_v := (%)) < 256", nodes.Tuple(terms, "load"), frame, "long")
        else:
            self._write_sum(terms, frame)

    @optimizeconst
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self._write_call("joined", node.nodes, frame)

    @optimizeconst
    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        if isinstance(node.arg, nodes.Slice):
            ends = (node.arg.start, node.arg.stop, node.arg.step)
            given = [nodes.Const(None) if end is None else end for end in ends]
            self._write_call("sliced", [node.node, *given], frame)
        else:
            super().visit_Getitem(node, frame)

    def _write_call(self, name: str, args: Sequence[nodes.Expr], frame: Frame) -> None:
        self.write(f"environment.{name}(")
        for arg in args:
            self.visit(arg, frame)
            self.write(", ")
        self.write(")")

    def _write_sum(self, terms: Sequence[nodes.Expr], frame: Frame) -> None:
        self.write("(")
        for index, term in enumerate(terms):
            if index:
                self.write(" + ")
            self.visit(term, frame)
        self.write(")")

    def _write_checked(self, test: str, value: nodes.Expr, frame: Frame, method: str) -> None:
        """Write a value, of which a method of the environment is called unless it passes a test.

        In the test `%` stands for the code of the value.
        """
        before, _, behind = test.partition("%")
        self.write(f"(t_v if {before}")
        if isinstance(value, nodes.Tuple):
            self._write_sum(value.items, frame)
        else:
            self.visit(value, frame)
        self.write(f"{behind} else environment.{method}(t_v))")

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        del frame, finalize
        # Visiting a node may change it.
        self._behind = ")" if _is_text(node) else SHOWN
        self.write("str(" if _is_text(node) else "(t_v if (t_v := ")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        del node, frame, finalize
        self.write(self._behind)


def _weights(tree: nodes.Node) -> Mapping[nodes.Node, int]:
    """Return the steps of one pass through each node: its code is as long as its source.

    What makes a short text or a list is a step; 16 other nodes are one.
    """
    weights: dict[nodes.Node, int] = {}
    order = [tree]
    for node in order:
        order += node.iter_child_nodes()
    sixteenths: dict[int, int] = {}
    for node in reversed(order):
        own = NODES_OF_STEP if isinstance(node, _MAKING_NODES) else 1
        if isinstance(node, nodes.Const) and isinstance(node.value, str):
            own += len(node.value) * NODES_OF_STEP // CHARS_OF_STEP
        elif isinstance(node, nodes.TemplateData):
            own += len(node.data) * NODES_OF_STEP // CHARS_OF_STEP
        total = own + sum(sixteenths[id(child)] for child in node.iter_child_nodes())
        sixteenths[id(node)] = total
        weights[node] = 1 + total // NODES_OF_STEP
    return weights


def _call(name: str, *args: Any) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), list(args), [], None, None)


def _name_of(call: nodes.Call) -> str | None:
    """Return the name of a method of the environment, if a call is one of those made here."""
    return call.node.name if isinstance(call.node, nodes.EnvironmentAttribute) else None


def _guarded(name: str, node: nodes.Expr) -> nodes.Expr:
    return node if _is_scalar(node) else _call(name, node)


def _guard_comparison(compare: nodes.Compare) -> None:
    """Bound a comparison of two values of which neither is a constant.

    As soon as one of the two has no parts, it takes no time.
    """
    others = [op.expr for op in compare.ops]
    for op in compare.ops[:-1]:
        op.expr = _guarded("flat", op.expr)
    last = compare.ops[-1]
    if len(others) == 1 and last.op not in ("in", "notin") and _is_scalar(last.expr):
        return
    if last.op in ("in", "notin") and _are_constants(last.expr):
        return
    compare.expr = _guarded("flat", compare.expr)


def _are_constants(node: nodes.Expr) -> bool:
    listed = isinstance(node, nodes.List | nodes.Tuple)
    return listed and all(isinstance(item, nodes.Const) for item in node.items)  # type: ignore[attr-defined]


def _is_scalar(node: nodes.Expr) -> bool:
    return isinstance(node, _SCALAR_NODES) or _is_text(node)


def _is_text(node: nodes.Expr) -> bool:
    """Whether a node surely is a text, or else fails."""
    if isinstance(node, nodes.Add):
        return any(
            isinstance(term, nodes.Const) and isinstance(term.value, str) for term in _terms(node)
        )
    if isinstance(node, nodes.Filter):
        return node.name in _TEXT_FILTERS
    return isinstance(node, nodes.Concat)


def _terms(node: nodes.BinExpr) -> list[nodes.Expr]:
    terms = [node.right]
    left = node.left
    while isinstance(left, nodes.Add):
        terms.append(left.right)
        left = left.left
    return [left, *reversed(terms)]
