/* Labels of the functions in files: cc -O2 predict.c -lm -o predict && ./predict FILE ... */

#include <stdio.h>

#include "student.h"

static char *read_file(const char *name, size_t *length) {
    FILE *stream = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
    size_t room = 1 << 16;
    char *text = (char *)malloc(room);
    *length = 0;
    while (stream != NULL && text != NULL) {
        *length += fread(text + *length, 1, room - *length, stream);
        if (*length < room) break;
        text = (char *)realloc(text, room *= 2);
    }
    if (stream == NULL || text == NULL || ferror(stream)) {
        fprintf(stderr, "%s: cannot be read\n", name);
        exit(2);
    }
    if (stream != stdin) fclose(stream);
    return text;
}

int main(int count, char **names) {
    int cut = 0;
    if (count < 2 || (count - 1) % STUDENT_ARITY) {
        fprintf(stderr, "usage: %s %s\n", names[0], STUDENT_ARITY == 1 ? "FILE ..." : "FILE FILE ...");
        return 2;
    }
    for (int first = 1; first < count; first += STUDENT_ARITY) {
        float vectors[STUDENT_ARITY][STUDENT_SIZE];
        double probabilities[STUDENT_LABELS];
        int label;
        for (int place = 0; place < STUDENT_ARITY; place++) {
            size_t length, mark;
            char *text = read_file(names[first + place], &length);
            mark = length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* a byte order mark */
            int state = student_encode(text + mark, length - mark, vectors[place]);
            free(text);
            if (state < 0) {
                fprintf(stderr, "no memory\n");
                return 1;
            }
            cut += state;
        }
        student_classify(vectors, probabilities);
        label = student_label(probabilities);
        printf("%d %s  %.3f ", label, student_label_names[label], probabilities[STUDENT_LABELS == 2 ? 1 : label]);
        for (int place = 0; place < STUDENT_ARITY; place++) printf(" %s", names[first + place]);
        printf("\n");
    }
    if (cut) fprintf(stderr, "of %d of %d functions only the first %d n-grams were read\n", cut, count - 1, STUDENT_WINDOW);
    return 0;
}
