import js from '@eslint/js';
import simpleImportSort from 'eslint-plugin-simple-import-sort';
import tseslint from 'typescript-eslint';
import { constantsFirst } from './scripts/lib/lint/constants-first.js';

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
  commander: packages(['commander'], 'src/arguments.ts'),
  ini: packages(['ini'], 'src/config/ini-text.ts'),
  table: packages(['cli-table3'], 'src/status/views/people.ts'),
};

/** Reading is free everywhere; a file is opened for writing, or changed, by system/ alone. */
const fileWrites = {
  group: ['node:fs', 'node:fs/promises'],
  importNamePattern: `^(${[
    'appendFile|chmod|chown|copyFile|cp|createWriteStream|fchmod|fchown|ftruncate|futimes|lchmod|lchown|link|lutimes',
    'mkdir|mkdtemp|mkdtempDisposable|rename|rm|rmdir|symlink|truncate|unlink|utimes|write|writeFile|writev',
  ].join('|')})(Sync)?$`,
  message: 'only src/system/ writes files: see system/files.ts and system/durable.ts',
};
const opensToWrite = {
  selector: "CallExpression[callee.name=/^open(Sync)?$/][arguments.length>0]:not([arguments.1.value='r'])",
  message: fileWrites.message,
};
const readsClock = {
  selector: "NewExpression[callee.name='Date'][arguments.length=0]",
  message: 'only src/system/clock.ts reads a clock',
};

/** The rule for the one module that imports this package. */
const allBut = (own) => Object.entries(doors).flatMap(([name, door]) => (name === own ? [] : [door]));
const pureOnly = [
  { group: ['node:*', '!node:path'], message: 'this folder is pure: no I/O here' },
  { group: ['**/system/**', '**/archiver/**', '**/standby/**'], message: 'this folder is below the others' },
];

const below = [
  {
    group: ['**/config/**', '**/archiver/**', '**/standby/**'],
    message: 'system/ is what these are built on: it imports none of them',
  },
];

const noAction = {
  group: ['**/actions/**'],
  message: 'actions/ is what is typed: parts do not import it',
};
/** From a file that lies so many folders below actions/. */
const noOtherAction = (depth) => ({
  regex: depth === 0 ? '^\\./' : `^(\\.\\./){${depth}}[^.]`,
  message: 'no action imports another: what two share is a part, beside actions/',
});

/** One program: its actions import its parts, never the other way round, and neither imports the other program. */
function program(name, other) {
  const always = [...Object.values(doors), fileWrites, { group: [`**/${other}/**`] }];
  const actions = `src/${name}/actions`;
  return [
    forbid([`src/${name}/**`], [...always, noAction]),
    forbid([`${actions}/*.ts`], [...always, noOtherAction(0)]),
    forbid([`${actions}/*/*.ts`], [...always, noOtherAction(1)]),
    forbid([`${actions}/*/*/*.ts`], [...always, noOtherAction(2)]),
  ];
}

export default tseslint.config(
  { ignores: ['.cache', 'dist', 'node_modules', 'test/servers', 'coverage'] },
  js.configs.recommended,
  {
    // Node's own first, then packages, then ours from far to near.
    plugins: { order: simpleImportSort },
    rules: {
      'order/imports': ['error', { groups: [['^\\u0000', '^node:', '^@?\\w', '^\\.']] }],
    },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    plugins: { pitrtools: { rules: { 'constants-first': constantsFirst } } },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      'pitrtools/constants-first': 'error',
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
  forbid(['src/*.ts'], [...Object.values(doors), fileWrites]),
  forbid(['src/arguments.ts'], [...allBut('commander'), fileWrites]),
  forbid(['src/system/**'], [...Object.values(doors), ...below]),
  forbid(['src/system/command.ts'], [...allBut('execa'), ...below]),
  forbid(['src/system/log.ts'], [...allBut('pino'), ...below]),
  forbid(['src/system/local-sql.ts'], [...allBut('pg'), ...below]),
  forbid(
    ['src/status/**'],
    [
      ...Object.values(doors),
      fileWrites,
      {
        group: ['**/archiver/**', '**/standby/**'],
        message: 'both programs use status/: it imports neither',
      },
    ],
  ),
  forbid(['src/status/views/people.ts'], [...allBut('table'), fileWrites]),
  forbid(['src/config/**'], [...pureOnly, ...allBut('ini')]),
  forbid(['src/config/read-file.ts'], [pureOnly[1], ...Object.values(doors)]),
  forbid(['src/postgres/**'], [...pureOnly, ...Object.values(doors), { group: ['**/config/**'] }]),
  ...program('archiver', 'standby'),
  ...program('standby', 'archiver'),
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
      'no-restricted-syntax': ['error', readsClock],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/system/**'],
    rules: { 'no-restricted-syntax': ['error', readsClock, opensToWrite] },
  },
  { files: ['**/*.{js,cjs}'], languageOptions: { globals: { process: 'readonly', console: 'readonly' } } },
);
