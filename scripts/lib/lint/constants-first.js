/**
 * Requires that a module's constants stand above the code that needs them; functions may stand below their callers.
 * ESLint's own no-use-before-define does not distinguish a module's constant from two constants that refer to each
 * other inside a function.
 */
export const constantsFirst = {
  meta: { type: 'suggestion', messages: { late: '"{{name}}" stands below the code that needs it' } },
  create: (context) => ({
    'Program:exit': (program) => {
      const { globalScope } = context.sourceCode.scopeManager;
      const scope = globalScope.childScopes.find(({ block, type }) => block === program && type === 'module');
      for (const { name, defs, references } of scope?.variables ?? []) {
        const declared = defs.find(({ type }) => type === 'Variable')?.name.range[0] ?? 0;
        const isEarly = ({ identifier, isValueReference }) =>
          isValueReference !== false && identifier.range[0] < declared;
        const early = references.find(isEarly);
        if (early !== undefined)
          context.report({ node: early.identifier, messageId: 'late', data: { name } });
      }
    },
  }),
};
