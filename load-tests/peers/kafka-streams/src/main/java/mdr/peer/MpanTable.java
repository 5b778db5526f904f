package mdr.peer;

/**
 * Rows by MPAN, open addressing with linear probing, at most half full. A slot is `stride` longs side by side, so that
 * a look-up waits for one cache line:
 *
 *   words  [ mpan | a | b | ... ] [ 0 | - | - | ... ] [ mpan | a | b | ... ]      0: free
 *
 * Rows are never freed: a store marks a row whose value is gone.
 */
abstract class MpanTable {
    private static final int SLOTS_FIRST = 1 << 12;

    private final int stride;
    private int shift;
    private int rows;
    protected long[] words;

    MpanTable(int stride) {
        this.stride = stride;
        allocate(SLOTS_FIRST);
    }

    /** Index in `words` of the MPAN's slot, -1 where there is none. */
    final int find(long mpan) {
        final int at = probe(mpan);
        return words[at] == mpan ? at : -1;
    }

    /** The same, made where there is none; all but the MPAN is then 0. */
    final int findOrAdd(long mpan) {
        int at = probe(mpan);
        if (words[at] == mpan) return at;
        if (rows * 2 >= words.length / stride) {
            grow();
            at = probe(mpan);
        }
        rows++;
        words[at] = mpan;
        return at;
    }

    final int rows() {
        return rows;
    }

    private int probe(long mpan) {
        int at = (int) ((mpan * 0x9E3779B97F4A7C15L) >>> shift) * stride;
        while (words[at] != mpan && words[at] != 0) {
            at += stride;
            if (at == words.length) at = 0;
        }
        return at;
    }

    private void grow() {
        final long[] before = words;
        allocate(before.length / stride * 2);
        for (int from = 0; from < before.length; from += stride) {
            if (before[from] != 0) System.arraycopy(before, from, words, probe(before[from]), stride);
        }
    }

    private void allocate(int slots) {
        words = new long[slots * stride];
        shift = 64 - Integer.numberOfTrailingZeros(slots);
    }
}
