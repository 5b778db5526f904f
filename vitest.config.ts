import { defineConfig } from 'vitest/config';

const FOLDERS = '{bin,core,fleet-sim,services,schemas,load-tests,docs,helm,docker}/**';

export default defineConfig({
  test: {
    // Tests that simulate or start the command line take seconds, more on a machine with other work.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', ['json', { outputFile: 'node_modules/.test-results.json' }]],
    projects: [
      {
        extends: true,
        test: { name: 'rules', include: [`${FOLDERS}/*.test.ts`], exclude: [`${FOLDERS}/*.kafka.test.ts`] },
      },
      {
        // A broker and a registry are started before the first of these files, and for no others.
        extends: true,
        test: {
          name: 'kafka',
          include: [`${FOLDERS}/*.kafka.test.ts`],
          globalSetup: ['services/platform/test/kafka-global-setup.ts'],
          fileParallelism: false,
        },
      },
    ],
  },
});
