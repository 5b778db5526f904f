import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{bin,core,fleet-sim,services,schemas,load-tests,docs}/**/*.test.ts'],
    // Tests that simulate or start the command line take seconds, more on a machine with other work.
    testTimeout: 120_000,
    reporters: ['default', ['json', { outputFile: 'node_modules/.test-results.json' }]],
  },
});
