"""Small functions that compute something from two whole numbers, by language: what they give is compared."""

PYTHON = [
    '''
def f(a, b):
    """Sums what is odd."""
    total = 0
    step = 1
    limit = a + 3
    while step < limit:
        step += 1
        if step % 2 == 0:
            continue
        else:
            total += step * b
    return total
''',
    """
def f(a, b):
    words = {"a": a, "b": b}
    a_list = [a for a in range(b)]
    text = f"{words['a']}-{b!r}"
    def g(x, scale=2):
        return x * scale
    low = 3
    high = 9
    if a <= low:
        found = g(a, scale=3)
    elif high >= b:
        found = -1
    else:
        found = sum(a_list)
    return text, found, sorted(words), [w for w in words if w > "a"]
""",
    """
def f(a, b):
    class Point:
        a = 5
        def __init__(self, a):
            self.b = a + Point.a
    import math as m
    values = []
    for i, (x, *rest) in enumerate([(a, b), (b, a, a)]):
        values.append((i, x, rest, Point(x).b, m.floor(x / 2)))
    try:
        if not (a < b):
            raise ValueError(a)
        else:
            b = b + 1
    except ValueError as error:
        values.append(str(error))
    with open(__file__ if False else "/dev/null") as stream:
        values.append(stream.read())
    return values, b, (lambda a, b=b: a - b)(1)
""",
]

C = [
    """
int f(int a, int b) {
    int total = 0;
    int step = 1;
    int limit;
    limit = a + 3;
    for (int i = 0, j = 5; i < limit; i++, j--) {
        total += i * b - j;
        if (total > 1000) { total = 0; break; } else total++;
    }
    while (step < limit) { step++; if (step % 2) continue; total -= step; }
    return total;
}
""",
    """
int f(int a, int b) {
    struct point { int a; int b; } p = { .a = a, .b = b };
    struct point *q = &p;
    int values[4] = {1, 2, 3, 4}, *end = values + 4, count = 0;
    int (*twice)(int) = 0;
    for (int *at = values; at < end; at++)
        count += *at * q->a;
    unsigned long size = sizeof(values) / sizeof(values[0]);
    if (count <= b) count = -count; else if (a >= 3) { count += p.b; } else { goto out; }
    switch (count & 3) { case 0: count++; break; case 1: { int a = 7; count += a; } default: count--; }
out:
    return twice ? 0 : count + (int) size;
}
""",
]

JAVA = [
    """
    static String f(int a, int b) {
        int total = 0;
        int step = 1;
        StringBuilder out = new StringBuilder();
        for (int i = 0, j = 5; i < a + 3; i++, j--) {
            total += i * b - j;
            if (total > 1000) { total = 0; break; } else total++;
        }
        int[] values = {1, 2, b};
        for (int value : values) out.append(value).append(',');
        outer:
        while (step < 20) {
            step++;
            if (step % 2 == 0) continue outer;
            total -= step;
        }
        return out.toString() + total;
    }
""",
    """
    static String f(int a, int b) {
        final int low = 3;
        java.util.function.IntUnaryOperator twice = x -> x * 2 + low;
        java.util.Comparator<String> order = (one, other) -> other.compareTo(one);
        java.util.List<String> words = new java.util.ArrayList<>(java.util.List.of("a", "b", "low"));
        words.sort(order);
        Object thing = words;
        String text;
        if (thing instanceof java.util.List<?> list) { text = "" + list.size(); } else { text = "none"; }
        try {
            if (a <= low) text += words.get(a); else { text += twice.applyAsInt(b); }
        } catch (IndexOutOfBoundsException error) {
            text += error.getClass().getSimpleName();
        }
        Object counter = new Object() {
            int low = 7;
            @Override public String toString() { return "low" + this.low + a; }
        };
        return text + counter + words;
    }
""",
]
