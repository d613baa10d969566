import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          name: 'programs',
          include: ['test/programs/**/*.test.ts'],
          // A whole program drives real servers: what may take long is bounded by the program's own limits.
          testTimeout: 120_000,
          hookTimeout: 180_000,
          // Two cores: more servers at once only make each of them slower.
          maxWorkers: 2,
        },
      },
    ],
  },
});
