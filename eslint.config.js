import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** What a folder may not import, so that the arrows between folders point one way. */
const forbid = (files, groups) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns: groups }] },
});

const packages = (names, door) => ({
  group: names,
  message: `only ${door} imports this package`,
});

const doors = {
  execa: packages(['execa'], 'src/system/command.ts'),
  pino: packages(['pino'], 'src/system/log.ts'),
  pg: packages(['pg'], 'src/system/local-sql.ts'),
  ini: packages(['ini'], 'src/config/ini-text.ts'),
};
const pureOnly = [
  {
    group: ['node:*', '!node:path', '**/system/**', '**/archiver/**', '**/standby/**'],
    message: 'this folder is pure: no I/O here',
  },
];

export default tseslint.config(
  { ignores: ['.cache', 'dist', 'node_modules', 'test/servers', 'coverage'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      'no-restricted-imports': ['error', { patterns: Object.values(doors) }],
      eqeqeq: 'error',
    },
  },
  forbid(['src/system/command.ts'], [doors.pino, doors.pg, doors.ini]),
  forbid(['src/system/log.ts'], [doors.execa, doors.pg, doors.ini]),
  forbid(['src/system/local-sql.ts'], [doors.execa, doors.pino, doors.ini]),
  forbid(['src/config/**'], [...pureOnly, doors.execa, doors.pino, doors.pg]),
  forbid(['src/postgres/**'], [...pureOnly, ...Object.values(doors), { group: ['**/config/**'] }]),
  forbid(['src/archiver/**'], [...Object.values(doors), { group: ['**/standby/**'] }]),
  forbid(['src/standby/**'], [...Object.values(doors), { group: ['**/archiver/**'] }]),
  forbid(['test/**', 'scripts/**'], []),
  {
    files: ['src/**/*.ts'],
    ignores: ['src/system/clock.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'only src/system/clock.ts reads a clock' },
        { object: 'performance', property: 'now', message: 'only src/system/clock.ts reads a clock' },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0]",
          message: 'only src/system/clock.ts reads a clock',
        },
      ],
    },
  },
  { files: ['**/*.js'], languageOptions: { globals: { process: 'readonly', console: 'readonly' } } },
);
