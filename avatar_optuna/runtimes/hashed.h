/* A student of code, with its weights: __NAME__. Written by avatar-optuna.

   C99 or C++11; it needs the C library and libm. Include it, then:

       double probabilities[STUDENT_LABELS];
       int label = student_predict(texts, probabilities);     texts: STUDENT_ARITY strings of UTF-8

   A function is read as bytes. Tokens are runs of word bytes, or one other byte that is no white space; n-grams of them
   (or of bytes) are hashed to buckets, each bucket has a row in a table, and the rows are pooled. */

#ifndef STUDENT_H
#define STUDENT_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

__CONSTANTS__

typedef struct {
    int type; /* 0 float32 as its bits, 1 float16 as its bits, 2 int8 with a scale a row, 3 int4 with one a group of 32 */
    int columns;
    const void *data;
    const uint16_t *scale; /* float16 as its bits */
} student_tensor;

__WEIGHTS__

#define STUDENT_MAX_COUNT 16 /* more occurrences of a bucket in a function count as this many */
#define STUDENT_GROUP_SIZE 32

static inline float student_half(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size = exponent ? ldexp(1.0 + fraction / 1024.0, exponent - 15) : ldexp(fraction / 1024.0, -14);
    return (float)(bits >> 15 ? -size : size);
}

static inline float student_weight(const student_tensor *tensor, size_t row, size_t column) {
    size_t columns = (size_t)tensor->columns, place = row * columns + column, groups, byte;
    float value;
    switch (tensor->type) {
    case 0:
        memcpy(&value, (const uint32_t *)tensor->data + place, sizeof value);
        return value;
    case 1:
        return student_half(((const uint16_t *)tensor->data)[place]);
    case 2:
        return (float)((const int8_t *)tensor->data)[place] * student_half(tensor->scale[row]);
    default:
        groups = (columns + STUDENT_GROUP_SIZE - 1) / STUDENT_GROUP_SIZE;
        byte = ((const uint8_t *)tensor->data)[row * ((columns + 1) / 2) + column / 2];
        value = (float)((int)(column % 2 ? byte >> 4 : byte & 15) - 8);
        return value * student_half(tensor->scale[row * groups + column / STUDENT_GROUP_SIZE]);
    }
}

/* out = matrix in + bias, with what is negative set to 0 if `is_relu` */
static inline void student_linear(const student_tensor *matrix, const student_tensor *bias, size_t rows, int is_relu,
                           const float *in, float *out) {
    for (size_t row = 0; row < rows; row++) {
        double sum = student_weight(bias, 0, row);
        for (size_t column = 0; column < (size_t)matrix->columns; column++)
            sum += (double)student_weight(matrix, row, column) * in[column];
        out[row] = (float)(is_relu && sum < 0 ? 0 : sum);
    }
}

static inline void student_norm(const student_tensor *scale, const student_tensor *shift, const float *in, float *out) {
    double mean = 0, variance = 0;
    for (size_t place = 0; place < STUDENT_SIZE; place++) mean += in[place];
    mean /= STUDENT_SIZE;
    for (size_t place = 0; place < STUDENT_SIZE; place++) variance += (in[place] - mean) * (in[place] - mean);
    variance /= STUDENT_SIZE;
    for (size_t place = 0; place < STUDENT_SIZE; place++)
        out[place] = (float)((in[place] - mean) / sqrt(variance + 1e-5) * student_weight(scale, 0, place) +
                             student_weight(shift, 0, place));
}

static inline uint32_t student_crc32(const unsigned char *bytes, size_t length) {
    static const uint32_t table[16] = {0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
                                       0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
                                       0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu};
    uint32_t sum = 0xFFFFFFFFu;
    for (size_t place = 0; place < length; place++) {
        sum ^= bytes[place];
        sum = sum >> 4 ^ table[sum & 15];
        sum = sum >> 4 ^ table[sum & 15];
    }
    return ~sum;
}

static inline uint32_t student_mixed(uint32_t hash) {
    hash = (hash ^ hash >> 16) * 0x85EBCA6Bu;
    hash = (hash ^ hash >> 13) * 0xC2B2AE35u;
    return hash ^ hash >> 16;
}

static inline int student_is_word(unsigned char byte) {
    return byte >= 128 || byte == '_' || (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z');
}

static inline int student_is_space(unsigned char byte) { return byte == ' ' || (byte >= 9 && byte <= 13); }

typedef struct {
    unsigned char *counts;            /* of each bucket, at most STUDENT_MAX_COUNT */
    uint32_t order[STUDENT_WINDOW];   /* the buckets in the order of their first appearance */
    size_t read, distinct;
} student_buckets;

static inline void student_add(student_buckets *buckets, uint32_t hash) {
    uint32_t bucket = hash % STUDENT_BUCKETS;
    if (buckets->counts[bucket] == 0) {
        if (buckets->read < STUDENT_WINDOW) buckets->order[buckets->read++] = bucket;
        buckets->distinct++;
    }
    if (buckets->counts[bucket] < STUDENT_MAX_COUNT) buckets->counts[bucket]++;
}

static inline void student_add_bytes(student_buckets *buckets, const unsigned char *bytes, size_t length) {
    for (size_t start = 0; start + STUDENT_LONGEST <= length; start++) {
        uint32_t hash = 0;
        for (size_t place = 0; place < STUDENT_LONGEST; place++) hash = hash * 257 + bytes[start + place];
        student_add(buckets, student_mixed(hash));
    }
}

static inline int student_add_tokens(student_buckets *buckets, const unsigned char *bytes, size_t length) {
    uint32_t *tokens = (uint32_t *)malloc((length + 1) * 2 * sizeof *tokens), *grams = tokens + length + 1;
    size_t count = 0;
    if (tokens == NULL) return -1;
    for (size_t place = 0, end; place < length; place = end) {
        for (end = place; end < length && student_is_word(bytes[end]);) end++;
        if (end == place && student_is_space(bytes[end++])) continue;
        tokens[count] = grams[count] = student_crc32(bytes + place, end - place);
        student_add(buckets, tokens[count++]);
    }
    for (int longer = 1; longer < STUDENT_LONGEST; longer++)
        for (size_t place = 0; place + (size_t)longer < count; place++) {
            grams[place] = student_mixed(grams[place] * 31 + tokens[place + (size_t)longer]);
            student_add(buckets, grams[place]);
        }
    free(tokens);
    return 0;
}

/* The vector of a function of `length` bytes. Returns 1 if the function is longer than the window, so that only its
   beginning is read, 0 if not, -1 if there is no memory. */
static inline int student_encode(const char *text, size_t length, float vector[STUDENT_SIZE]) {
    const unsigned char *bytes = (const unsigned char *)text;
    float pooled[STUDENT_SIZE], normed[STUDENT_SIZE], inner[STUDENT_UNITS];
    double total = 0, sums[STUDENT_WIDTH] = {0};
    int is_failed = 0, is_cut;
    student_buckets *buckets = (student_buckets *)calloc(1, sizeof *buckets);
    if (buckets == NULL) return -1;
    buckets->counts = (unsigned char *)calloc(STUDENT_BUCKETS, 1);
    is_failed = buckets->counts == NULL;
    if (!is_failed && STUDENT_IS_BYTES) student_add_bytes(buckets, bytes, length);
    if (!is_failed && !STUDENT_IS_BYTES) is_failed = student_add_tokens(buckets, bytes, length) != 0;
    memset(pooled, 0, sizeof pooled);
    for (size_t read = 0; !is_failed && read < buckets->read; read++) {
        double weight = log(1.0 + buckets->counts[buckets->order[read]]);
        total += weight;
        for (size_t column = 0; column < STUDENT_WIDTH; column++) {
            float value = student_weight(&student_table_weight, buckets->order[read], column);
            float *highest = &pooled[STUDENT_SIZE - STUDENT_WIDTH + column];
            sums[column] += weight * value;
            if (STUDENT_HAS_MAX && (read == 0 || value > *highest)) *highest = value;
        }
    }
    is_cut = buckets->distinct > STUDENT_WINDOW;
    free(buckets->counts);
    free(buckets);
    if (is_failed) return -1;
    for (size_t column = 0; column < STUDENT_WIDTH; column++)
        pooled[column] = (float)(sums[column] / (total > 1e-6 ? total : 1e-6));
    student_norm(&student_norm_weight, &student_norm_bias, pooled, vector);
    for (int layer = 0; layer < STUDENT_LAYERS; layer++) {
        const student_tensor *weights = student_layers[layer];
        student_norm(&weights[0], &weights[1], vector, normed);
        student_linear(&weights[2], &weights[3], STUDENT_UNITS, 1, normed, inner);
        student_linear(&weights[4], &weights[5], STUDENT_SIZE, 0, inner, normed);
        for (size_t place = 0; place < STUDENT_SIZE; place++) vector[place] += normed[place];
    }
    return is_cut;
}

/* Probabilities of the labels, from the vectors of an input's functions. */
static inline void student_classify(float vectors[STUDENT_ARITY][STUDENT_SIZE], double probabilities[STUDENT_LABELS]) {
    float joined[STUDENT_ARITY * STUDENT_SIZE], inner[STUDENT_SIZE], logits[STUDENT_LABELS], highest;
    double sum = 0;
    for (size_t place = 0; place < STUDENT_SIZE; place++) {
        float first = vectors[0][place], second = vectors[STUDENT_ARITY - 1][place];
        joined[place] = STUDENT_ARITY == 1 ? first : fabsf(first - second);
        joined[(STUDENT_ARITY - 1) * STUDENT_SIZE + place] = STUDENT_ARITY == 1 ? first : first * second;
    }
    student_linear(&student_dense_weight, &student_dense_bias, STUDENT_SIZE, 1, joined, inner);
    student_linear(&student_out_weight, &student_out_bias, STUDENT_LABELS, 0, inner, logits);
    highest = logits[0];
    for (size_t label = 1; label < STUDENT_LABELS; label++)
        if (logits[label] > highest) highest = logits[label];
    for (size_t label = 0; label < STUDENT_LABELS; label++)
        sum += probabilities[label] = exp(((double)logits[label] - highest) / STUDENT_TEMPERATURE);
    for (size_t label = 0; label < STUDENT_LABELS; label++) probabilities[label] /= sum;
}

/* The label that probabilities give: of two, the second from STUDENT_THRESHOLD on. */
static inline int student_label(const double probabilities[STUDENT_LABELS]) {
    int best = 0;
    if (STUDENT_LABELS == 2) return probabilities[1] >= STUDENT_THRESHOLD;
    for (int label = 1; label < STUDENT_LABELS; label++)
        if (probabilities[label] > probabilities[best]) best = label;
    return best;
}

/* The label of an input, its functions given as strings that end with a zero; -1 if there is no memory. */
static inline int student_predict(const char *const texts[STUDENT_ARITY], double probabilities[STUDENT_LABELS]) {
    float vectors[STUDENT_ARITY][STUDENT_SIZE];
    for (size_t place = 0; place < STUDENT_ARITY; place++)
        if (student_encode(texts[place], strlen(texts[place]), vectors[place]) < 0) return -1;
    student_classify(vectors, probabilities);
    return student_label(probabilities);
}

#endif
