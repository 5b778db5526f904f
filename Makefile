# Needs Node (any version from 20, with npm) and make. Node 24, on which everything runs, comes with the dependencies.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help demo test test-docker bench docs clean

help:
	@echo 'make demo    plan a Settlement Day of 100,000 meters and say where the report is'
	@echo 'make test    check types, style and behaviour'
	@echo 'make test-docker   the tests of Kafka on containers, and of our image; starts an engine and makes images where there are none'
	@echo 'make bench   measure; one JSON object a line'
	@echo 'make docs    write the generated pages of docs/reference anew'

demo: node_modules/.installed
	./bin/mdr plan settlement-day

test: node_modules/.installed
	tsc --noEmit
	biome check --error-on-warnings .
	vitest run

test-docker: node_modules/.installed
	services/platform/kafka-provider/test-docker.sh

bench: node_modules/.installed
	node --disable-warning=TimeoutNegativeWarning load-tests/bench/main.ts

docs: node_modules/.installed
	node docs/generate.ts

clean:
	rm -rf node_modules mdr-report

node_modules/.installed: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@
