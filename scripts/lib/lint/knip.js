/**
 * What nobody uses: files, exports, packages. `knip` alone takes the tests for users; so an export that only its own file
 * needs is none. With `--production` they are not: code that nothing but a test uses is dead, while one that its own file
 * uses may be exported for its test's sake.
 */
export default ({ production }) => ({
  entry: [
    'src/cmd-archiver.ts!',
    'src/cmd-standby.ts!',
    // A thread of its own.
    'src/standby/page-check/worker.ts!',
    'scripts/{*,package/*,lib/*}.js!',
    'scripts/lib/{demo,bench/main,docs/generate}.ts!',
    // scripts/test reads it.
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
