/**
 * Finds unused files, exports and packages. `knip` alone counts tests as users, and ignores an export that is used only
 * in its own file. With `--production` tests do not count: code that only a test uses is dead, but code that its own
 * file uses may be exported for a test.
 */
export default ({ production }) => ({
  entry: [
    'src/cmd-archiver.ts!',
    'src/cmd-standby.ts!',
    // The worker runs in a thread of its own.
    'src/standby/page-check/worker.ts!',
    'scripts/{*,package/*,lib/*}.js!',
    'scripts/lib/{demo,bench/main,docs/generate,docs/man}.ts!',
    // scripts/test reads this file.
    'test/node-files.js',
    'test/**/*.test.ts',
  ],
  project: ['src/**/*.ts!', 'scripts/**/*.{ts,js}!', '!scripts/lib/lint/**', 'test/**/*.{ts,js}'],
  ignoreExportsUsedInFile: production,
  include: [
    'files',
    'dependencies',
    'unlisted',
    'binaries',
    'unresolved',
    'exports',
    'types',
    'duplicates',
    'cycles',
  ],
  rules: { cycles: 'error' },
});
