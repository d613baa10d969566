import { defineConfig } from 'vitest/config';

/** `scripts/test` adds up what the parts of a run report here. */
const report = process.env['PITRTOOLS_TEST_REPORT'];

export default defineConfig({
  test: {
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          name: 'programs',
          include: ['test/programs/**/*.test.ts'],
          // A whole program drives real servers: what may take long is bounded by the program's own limits.
          testTimeout: 120_000,
          hookTimeout: 180_000,
          // They wait more than they compute: three keep two cores busy.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
