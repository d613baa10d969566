import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { longFiles } from './test/long-files.ts';
import { slowFiles } from './test/slow-files.ts';

/** `scripts/test` adds up what the parts of a run report here. */
const report = process.env['PITRTOOLS_TEST_REPORT'];

/** Set by `scripts/test` where nothing else was asked for. */
const isQuick = (process.env['PITRTOOLS_TEST_QUICK'] ?? '') !== '';

/** A long file that begins as the last one would leave the other workers idle. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const found = longFiles.findIndex((name) => moduleId.endsWith(`/${name}`));
      return found === -1 ? longFiles.length : found;
    };
    return (await super.sort(files)).sort((one, other) => place(one) - place(other));
  }
}

export default defineConfig({
  test: {
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          // Some start a hundred programs: on a loaded machine that takes longer than a unit should, and proves nothing.
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // Two hundred processes take longer to start than the tests in them to run: files share them, and leave them as they were.
          isolate: false,
          setupFiles: ['test/unit/leave-process-alone.ts'],
          // By default one core stays idle.
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'programs',
          include: ['test/programs/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...(isQuick ? slowFiles : [])],
          // A whole program drives real servers: what may take long is bounded by the program's own limits.
          testTimeout: 300_000,
          hookTimeout: 300_000,
          // They wait more than they compute: so many keep all cores busy.
          maxWorkers: Number(process.env['PITRTOOLS_TEST_WORKERS'] ?? 2 * availableParallelism()),
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          // By scripts/lib/debian-pair alone.
          name: 'debian',
          include: ['test/debian/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
