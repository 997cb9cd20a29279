// Reads queries as Kusto itself does (its own language service, from npm) beside the columns of the tables that they
// ask. Given: the package's folder, then files. Writes a line of JSON for each file: what is wrong with it.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

const [folder, ...files] = process.argv.slice(2);
require(path.join(folder, "bridge.min.js"));
require(path.join(folder, "Kusto.Language.Bridge.min.js"));
const { KustoCode, GlobalState, Symbols } = globalThis.Kusto.Language;

// Of learn.microsoft.com/azure/azure-monitor/reference/tables: the columns that one may want to ask for here.
const tables = {
  AppTraces:
    "(TimeGenerated:datetime, Message:string, ItemCount:int, SeverityLevel:int, Properties:dynamic, OperationId:string, " +
    "OperationName:string, AppRoleInstance:string, AppRoleName:string, _ResourceId:string)",
  AppRequests:
    "(TimeGenerated:datetime, Name:string, OperationName:string, OperationId:string, Success:bool, ResultCode:string, " +
    "DurationMs:real, ItemCount:int, Properties:dynamic, AppRoleInstance:string, AppRoleName:string, _ResourceId:string)",
  Usage:
    "(TimeGenerated:datetime, DataType:string, IsBillable:bool, Quantity:real, QuantityUnit:string, Solution:string)",
  _LogOperation:
    "(TimeGenerated:datetime, Category:string, Operation:string, Level:string, Detail:string, _ResourceId:string)",
};
const known = Object.entries(tables).map(([name, columns]) => Symbols.TableSymbol.From(columns).WithName(name));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1("workspace", known));

for (const file of files) {
  const text = fs.readFileSync(file, "utf8");
  const found = KustoCode.ParseAndAnalyze(text, globals).GetDiagnostics();
  const wrong = [];
  for (let place = 0; place < found.Count; place += 1) {
    const each = found.getItem(place);
    wrong.push(`line ${text.slice(0, each.Start).split("\n").length}: ${each.Message}`);
  }
  console.log(JSON.stringify({ file, wrong }));
}
