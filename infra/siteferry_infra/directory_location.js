
// One slash at the begin, and no backslash: browsers would take either for another host's name.
function directoryUrl(request) {
    var path = '/' + request.uri.replace(/^[\/\\]+/, '').replace(/\\/g, '%5C') + '/';
    var pairs = [];
    for (var name in request.querystring) {
        var parameter = request.querystring[name];
        var values = parameter.multiValue || [parameter];
        for (var i = 0; i < values.length; i++) {
            pairs.push(values[i].value === '' ? name : name + '=' + values[i].value);
        }
    }
    return pairs.length ? path + '?' + pairs.join('&') : path;
}
