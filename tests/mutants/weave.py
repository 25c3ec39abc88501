"""Weaves small changes into a copy of a source file, each behind a switch that is asked at run
time.

A change is what `cargo mutants --list --json` says of it. Nothing else is read here, and no file.
"""

import tree_sitter
import tree_sitter_rust

SWITCH = "turnleaf_format::mutant"
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
# What is computed while compiling cannot ask a switch.
CONSTANT = {"const_item", "static_item", "array_type", "const_block", "enum_variant"}


def asks(number):
    return "%s(%d)" % (SWITCH, number)


def marked(number, text):
    """The text with its borders, by which an error of the compiler is traced to its change."""
    return "/*<%d*/%s/*%d>*/" % (number, text, number)


class File:
    """One source file and the changes that are woven into it."""

    def __init__(self, text):
        self.text = text.encode()
        self.tree = PARSER.parse(self.text)
        self.lines = [0]
        for line in self.text.split(b"\n"):
            self.lines.append(self.lines[-1] + len(line) + 1)
        # Of a place: texts that stand before it. Of a span: what stands there instead.
        self.inserted, self.wrapped = {}, {}

    def offset(self, place):
        line = self.lines[place["line"] - 1]
        before = self.text[line:].decode()[:place["column"] - 1]
        return line + len(before.encode())

    def source(self, node):
        return self.text[node.start_byte:node.end_byte].decode()

    def above(self, start, end, kinds):
        """The innermost node of one of these kinds around a span."""
        node = self.tree.root_node.descendant_for_byte_range(start, end)
        while node and node.type not in kinds:
            node = node.parent
        return node

    def is_constant(self, node):
        while node:
            if node.type in CONSTANT:
                return True
            if node.type == "function_item":
                return any(child.type == "function_modifiers" and "const" in self.source(child)
                           for child in node.children)
            node = node.parent
        return False

    def add(self, number, change):
        """Weaves a change in; False where that is not possible."""
        start = self.offset(change["span"]["start"])
        end = self.offset(change["span"]["end"])
        make = getattr(self, "add_" + change["genre"], None)
        return bool(make) and bool(make(number, start, end, change["replacement"]))

    def wrap(self, node, number, text):
        if node is None or self.is_constant(node):
            return False
        self.wrapped.setdefault((node.start_byte, node.end_byte), []).append((number, text))
        return True

    def add_FnValue(self, number, start, end, replacement):
        node = self.above(start, max(start, end - 1), {"function_item"})
        if node is None or self.is_constant(node):
            return False
        kind = node.child_by_field_name("return_type")
        if kind is not None and "impl " in self.source(kind):
            # Two returns would be of two types.
            return False
        body = node.child_by_field_name("body")
        text = "if %s { return %s; }" % (asks(number), replacement)
        self.inserted.setdefault(body.start_byte + 1, []).append(marked(number, text))
        return True

    def add_BinaryOperator(self, number, start, end, replacement):
        node = self.above(start, end, {"binary_expression", "compound_assignment_expr"})
        if node is None or node.child_by_field_name("operator").start_byte != start:
            return False
        left, right = (node.child_by_field_name(side) for side in ("left", "right"))
        if "let " in self.source(node) and self.has_let(node):
            return False
        if node.type == "binary_expression":
            text = "(%s) %s (%s)" % (self.source(left), replacement, self.source(right))
        else:
            text = "%s %s %s" % (self.source(left), replacement, self.source(right))
        return self.wrap(node, number, text)

    def has_let(self, node):
        if node.type in ("let_condition", "let_chain"):
            return True
        return any(self.has_let(child) for child in node.children
                   if child.type in ("binary_expression", "let_condition", "let_chain"))

    def add_UnaryOperator(self, number, start, end, replacement):
        node = self.above(start, end, {"unary_expression"})
        if node is None or node.start_byte != start or replacement:
            return False
        return self.wrap(node, number, self.source(node.children[-1]))

    def add_MatchArm(self, number, start, end, replacement):
        node = self.above(start, start, {"match_arm"})
        if node is None or node.start_byte != start or replacement or self.is_constant(node):
            return False
        pattern = node.child_by_field_name("pattern")
        guard = pattern.child_by_field_name("condition")
        if guard is None:
            text = marked(number, " if !%s" % asks(number))
            self.inserted.setdefault(pattern.end_byte, []).append(text)
            return True
        return not self.has_let(guard) and self.wrap(guard, number, "false")

    def add_MatchArmGuard(self, number, start, end, replacement):
        node = self.above(start, end, {"match_pattern"})
        guard = node and node.child_by_field_name("condition")
        if guard is None or self.has_let(guard):
            return False
        return self.wrap(guard, number, replacement)

    def add_StructField(self, number, start, end, replacement):
        node = self.above(start, start, {"field_initializer"})
        if node is None or replacement:
            return False
        base = [child for child in node.parent.children if child.type == "base_field_initializer"]
        name = self.source(node.child_by_field_name("field"))
        value = node.child_by_field_name("value")
        if not base or value is None:
            return False
        return self.wrap(value, number, "(%s).%s" % (self.source(base[0]).lstrip("."), name))

    def woven(self):
        """The text with all that was added."""
        spans = sorted(self.wrapped, key=lambda span: (span[0], -span[1]))
        return self.render(0, len(self.text), spans)

    def render(self, start, end, spans):
        parts, at = [], start
        for span in spans:
            if span[0] < at or span[1] > end or span == (start, end):
                continue
            parts.append(self.plain(at, span[0]))
            within = [other for other in spans
                      if other != span and span[0] <= other[0] and other[1] <= span[1]]
            text = self.render(span[0], span[1], within)
            branches = ["if %s %s" % (asks(number), marked(number, "{ %s }" % changed))
                        for number, changed in self.wrapped[span]]
            whole = "(%s else { %s })" % (" else ".join(branches), text)
            parts.append(marked(self.wrapped[span][0][0], whole))
            at = span[1]
        parts.append(self.plain(at, end, end == len(self.text)))
        return "".join(parts)

    def plain(self, start, end, is_last=False):
        parts, at = [], start
        for place in sorted(self.inserted):
            if start <= place and (place < end or is_last and place == end):
                parts.append(self.text[at:place].decode() + "".join(self.inserted[place]))
                at = place
        return "".join(parts) + self.text[at:end].decode()
