"use strict";
(function () {
  var find = document.getElementById("find"), quiet = document.getElementById("quiet");
  var tasks = Array.prototype.slice.call(document.querySelectorAll("details.task"));
  function show() {
    var word = find.value.trim().toLowerCase();
    tasks.forEach(function (task) {
      var wanted = (!quiet.checked || task.classList.contains("worth")) &&
        (!word || task.textContent.toLowerCase().indexOf(word) >= 0);
      task.hidden = !wanted;
    });
  }
  if (find && quiet) { find.addEventListener("input", show); quiet.addEventListener("change", show); }
  var time = document.querySelector("time[data-at]");
  if (time) { time.title = new Date(Number(time.dataset.at) * 1000).toString(); }
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = tasks.filter(function (task) { return !task.open && task.classList.contains("worth"); });
    opened.forEach(function (task) { task.open = true; });
  });
  window.addEventListener("afterprint", function () { opened.forEach(function (task) { task.open = false; }); });
})();
