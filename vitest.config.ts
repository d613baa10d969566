import { configDefaults, defineConfig } from 'vitest/config';
import { slowFiles } from './test/slow-files.ts';

/** `scripts/test` adds up what the parts of a run report here. */
const report = process.env['PITRTOOLS_TEST_REPORT'];

/** Set by `scripts/test` where nothing else was asked for. */
const isQuick = process.env['PITRTOOLS_TEST_QUICK'] !== undefined;

export default defineConfig({
  test: {
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          // Some start a hundred programs: on a loaded machine that takes longer than a unit should, and proves nothing.
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'programs',
          include: ['test/programs/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...(isQuick ? slowFiles : [])],
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
