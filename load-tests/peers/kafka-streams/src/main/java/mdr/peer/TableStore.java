package mdr.peer;

import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.StateStoreContext;
import org.apache.kafka.streams.state.StoreBuilder;

import java.util.Map;
import java.util.function.Supplier;

/** A table in memory whose changelog is its source topic: values are parsed once, when they come or are restored. */
abstract class TableStore extends MpanTable implements StateStore {
    private final String name;
    private boolean isOpen;

    TableStore(String name, int stride) {
        super(stride);
        this.name = name;
    }

    /** Takes a record of the topic; a null value means that there is none any more. */
    abstract void put(byte[] key, byte[] value);

    @Override
    public String name() {
        return name;
    }

    @Override
    public void init(StateStoreContext context, StateStore root) {
        context.register(root, this::put);
        isOpen = true;
    }

    @Override
    public void flush() {}

    @Override
    public void close() {
        isOpen = false;
    }

    @Override
    public boolean persistent() {
        return false;
    }

    @Override
    public boolean isOpen() {
        return isOpen;
    }

    static long mpanOf(byte[] key) {
        long mpan = 0;
        for (byte digit : key) mpan = mpan * 10 + (digit - '0');
        return mpan;
    }

    static <S extends TableStore> StoreBuilder<S> builder(String name, Supplier<S> make) {
        return new StoreBuilder<>() {
            @Override
            public StoreBuilder<S> withCachingEnabled() {
                return this;
            }

            @Override
            public StoreBuilder<S> withCachingDisabled() {
                return this;
            }

            @Override
            public StoreBuilder<S> withLoggingEnabled(Map<String, String> config) {
                return this;
            }

            @Override
            public StoreBuilder<S> withLoggingDisabled() {
                return this;
            }

            @Override
            public S build() {
                return make.get();
            }

            @Override
            public Map<String, String> logConfig() {
                return Map.of();
            }

            @Override
            public boolean loggingEnabled() {
                return false;
            }

            @Override
            public String name() {
                return name;
            }
        };
    }
}
