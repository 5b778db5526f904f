import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{bin,core,fleet-sim,services,schemas,load-tests,docs}/**/*.test.ts'],
    testTimeout: 60_000,
  },
});
