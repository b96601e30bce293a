// Prints, for each query, the pages that Sphinx's own search of the built documentation finds, best first, as JSON.
//
//     node search.js <folder of the built pages> <query> ...

const fs = require("fs");
const path = require("path");
const vm = require("vm");

const [folder, ...queries] = process.argv.slice(2);
const nothing = () => null;
const context = vm.createContext({
  // What the scripts ask of a browser when they are loaded and when they search, without showing anything.
  document: { readyState: "loading", addEventListener: nothing, getElementById: nothing, documentElement: { dataset: {} } },
  localStorage: { setItem: nothing, getItem: nothing },
  console,
});
context.window = context;
for (const name of ["documentation_options", "doctools", "language_data", "sphinx_highlight", "searchtools"]) {
  const file = path.join(folder, "_static", `${name}.js`);
  if (fs.existsSync(file)) vm.runInContext(fs.readFileSync(file, "utf8"), context, { filename: file });
}
vm.runInContext(fs.readFileSync(path.join(folder, "searchindex.js"), "utf8"), context);
context.queries = queries;
const found = vm.runInContext(
  `queries.map((query) => {
    const [text, terms, excluded, highlighted, objects] = Search._parseQuery(query);
    // The script shows its results from the last one to the first.
    return Search._performSearch(text, terms, excluded, highlighted, objects).reverse().map(([page]) => page);
  })`,
  context,
);
console.log(JSON.stringify(Object.fromEntries(queries.map((query, i) => [query, found[i]]))));
